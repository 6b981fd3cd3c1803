mode none
listens *:2181
listens *:2281
