refused
myid file is missing
