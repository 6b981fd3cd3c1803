refused
My id 2 not in the peer list
