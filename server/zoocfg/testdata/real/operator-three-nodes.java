mode none
listens *:2182
listens 127.0.0.1:3889
