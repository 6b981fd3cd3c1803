refused
Server 1is not in a group
