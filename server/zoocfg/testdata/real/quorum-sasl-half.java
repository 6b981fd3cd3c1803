refused
quorum.auth.enableSasl is disabled, so cannot enable quorum.auth.serverRequireSasl
