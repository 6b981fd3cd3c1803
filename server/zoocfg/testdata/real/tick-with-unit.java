refused
For input string: "2s"
