refused
serverid replace this text with the cluster-unique zookeeper's instance id (1-255) is not a number
