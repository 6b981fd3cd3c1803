mode none
listens *:2181
listens 127.0.0.1:3888
