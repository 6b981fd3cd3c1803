//go:build poll_opt

package netloop

// gnet's build tag poll_opt does not go with pause.go; this line stops such a build.
var _ = the_build_tag_poll_opt_is_not_supported
