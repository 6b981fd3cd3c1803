refused
For input string: "1d"
