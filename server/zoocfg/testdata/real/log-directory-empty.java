refused
begin 0, end 2, length 0
