refused
For input string: "2181 # the usual one"
