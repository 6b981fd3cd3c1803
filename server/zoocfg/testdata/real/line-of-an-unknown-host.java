refused
Unresolved address
