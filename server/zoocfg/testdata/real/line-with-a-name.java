refused
For input string: "zk1"
