mode none
