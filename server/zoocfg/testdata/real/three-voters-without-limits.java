refused
initLimit is not set
