refused
zk1.invalid: Name or service not known
