package auth

import (
	"slices"
	"strings"

	"github.com/meerkat-zk/meerkat/proto"
)

// The schemes that have a meaning here.
const (
	schemeWorld    = "world"
	schemeAuth     = "auth"
	schemeSuper    = "super"
	schemeIP       = "ip"
	schemeDigest   = "digest"
	schemeSASL     = "sasl"
	SchemeEnsemble = "ensemble" // a guard, not an identity
)

const anyone = "anyone"

// Allows tells whether a caller with these ids has one of the permissions in perm.
// An ACL that is nil or empty is open. The order of entries means nothing, and no entry
// denies (ZooKeeperServer.checkACL).
func Allows(acl []proto.ACL, perm int32, ids []proto.ID) bool {
	if len(acl) == 0 || isSuper(ids) {
		return true
	}
	for i := range acl {
		if acl[i].Perms&perm != 0 && grants(&acl[i].ID, ids) {
			return true
		}
	}
	return false
}

func isSuper(ids []proto.ID) bool {
	for i := range ids {
		if ids[i].Scheme == schemeSuper {
			return true
		}
	}
	return false
}

// grants tells whether an ACL entry for want speaks of a caller with these ids.
func grants(want *proto.ID, ids []proto.ID) bool {
	if want.Scheme == schemeWorld {
		return want.ID == anyone
	}
	for i := range ids {
		if ids[i].Scheme == want.Scheme && matches(want.Scheme, ids[i].ID, want.ID) {
			return true
		}
	}
	return false
}

// matches compares two ids of one scheme: the caller's and the ACL's.
func matches(scheme, caller, want string) bool {
	switch scheme {
	case schemeDigest:
		return caller == want
	case schemeIP:
		return matchesIP(caller, want)
	case schemeSASL:
		return caller == want || caller == schemeSuper
	default:
		return false
	}
}

// Mask is the ACL as getACL shows it to a caller without ADMIN: the secret half of each
// digest becomes "x". Java leaves what follows a line break in the secret; we do not.
func Mask(acl []proto.ACL) []proto.ACL {
	masked := slices.Clone(acl)
	for i := range masked {
		id := &masked[i].ID
		if id.Scheme != schemeDigest {
			continue
		}
		if user, _, found := strings.Cut(id.ID, ":"); found {
			id.ID = user + ":x"
		}
	}
	return masked
}

// Join returns ids with more added to them, each id once. It is a new slice, because a request
// in flight may still hold the old one.
func Join(ids, more []proto.ID) []proto.ID {
	joined := make([]proto.ID, len(ids), len(ids)+len(more))
	copy(joined, ids)
	for _, id := range more {
		if !slices.Contains(joined, id) {
			joined = append(joined, id)
		}
	}
	return joined
}

// TextBytes is the length of all ids' text.
func TextBytes(ids []proto.ID) (n int) {
	for _, id := range ids {
		n += len(id.Scheme) + len(id.ID)
	}
	return n
}

// HasScheme tells whether one of the ids is of one of the schemes: what enforce.auth.schemes
// asks of a connection (AuthenticationHelper).
func HasScheme(ids []proto.ID, schemes []string) bool {
	return slices.ContainsFunc(ids, func(id proto.ID) bool {
		return slices.Contains(schemes, id.Scheme)
	})
}
