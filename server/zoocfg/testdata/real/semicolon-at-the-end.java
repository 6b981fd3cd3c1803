refused
For input string: "2181;"
