refused
serverid 1  is not a number
