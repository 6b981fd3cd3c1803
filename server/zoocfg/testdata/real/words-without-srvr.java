mode standalone
listens *:2181
