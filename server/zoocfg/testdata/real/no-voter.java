refused
standaloneEnabled = false then number of participants should be >0
