mode standalone
listens 127.0.0.1:2181
