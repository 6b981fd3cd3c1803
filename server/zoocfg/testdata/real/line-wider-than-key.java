refused
client address for this server (id = 1) in static config file is /127.0.0.1:2181 is different from client address found in dynamic file: /0.0.0.0:2181
