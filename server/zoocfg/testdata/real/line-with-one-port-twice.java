refused
Client and election port must be different! Please update the configuration file on server.1
