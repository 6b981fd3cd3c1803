mode leader
listens *:2181
listens 127.0.0.1:2888
listens 127.0.0.1:3888
