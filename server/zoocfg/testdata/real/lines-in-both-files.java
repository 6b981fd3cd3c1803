refused
parameter: server.1 must be in a separate dynamic config file
