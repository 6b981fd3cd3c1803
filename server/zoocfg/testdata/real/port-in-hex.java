refused
For input string: "0x885"
