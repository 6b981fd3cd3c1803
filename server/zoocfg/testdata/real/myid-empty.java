refused
serverid null is not a number
