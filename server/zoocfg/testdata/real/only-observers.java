refused
Observers w/o participants is an invalid configuration
