refused
Malformed \uxxxx encoding.
