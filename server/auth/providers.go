package auth

import (
	"crypto/subtle"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// Config says which schemes a server knows, beside world and ip, which it always knows.
type Config struct {
	DigestEnabled bool   // DigestAuthenticationProvider.enabled
	DigestAlg     string // DigestAuthenticationProvider.digestAlg; "" is SHA1
	SuperDigest   string // DigestAuthenticationProvider.superDigest, "user:hash"; "" is no super

	// Ensemble is true when an authProvider.N names EnsembleAuthenticationProvider.
	Ensemble bool
	// EnsembleNames are the names a client may give; none means that any will do.
	EnsembleNames []string // ensembleAuthName

	// SASL is true when an authProvider.N names SASLAuthenticationProvider: sasl ids may then
	// stand in ACLs. They are never given out by an auth packet.
	SASL bool
}

// Providers are the authentication schemes of a server.
type Providers struct {
	cfg  Config
	hash digestHash
}

// New checks the configuration and returns its providers.
func New(cfg Config) (*Providers, error) {
	hash, ok := hashOf(cfg.DigestAlg)
	if !ok {
		return nil, fmt.Errorf("unknown digest algorithm %q (want one of %s)",
			cfg.DigestAlg, strings.Join(DigestAlgs(), ", "))
	}
	cfg.EnsembleNames = slices.Clone(cfg.EnsembleNames)
	return &Providers{cfg: cfg, hash: hash}, nil
}

// Knows tells whether the scheme has a provider, as every scheme of an ACL other than world
// and auth must have.
func (p *Providers) Knows(scheme string) bool {
	switch scheme {
	case schemeIP:
		return true
	case schemeDigest:
		return p.cfg.DigestEnabled
	case schemeSASL:
		return p.cfg.SASL
	case SchemeEnsemble:
		return p.cfg.Ensemble
	default:
		return false
	}
}

// authenticates tells whether the scheme's ids prove who the caller is, so that "auth" in an
// ACL may stand for them. An address proves nothing.
func (p *Providers) authenticates(scheme string) bool {
	return p.Knows(scheme) && (scheme == schemeDigest || scheme == schemeSASL)
}

// isValid tells whether id may stand in an ACL under the scheme.
func (p *Providers) isValid(scheme, id string) bool {
	if !p.Knows(scheme) {
		return false
	}
	switch scheme {
	case schemeIP:
		return isValidIP(id)
	case schemeDigest:
		return isValidDigest(id)
	case schemeSASL:
		return isValidKerberos(id)
	default: // ensemble: a guard, not an identity
		return false
	}
}

// Fixup turns the ACL of a request into the one that is stored: duplicates go, "auth" becomes
// the caller's own ids, and an entry that no provider accepts makes it ErrInvalidACL
// (PrepRequestProcessor.fixupACL). A null that has to be looked at makes it ErrMarshalling.
//
// Each entry "auth" becomes one for each identity: a request could grow a thousandfold. So their
// bytes are taken from room, and what does not fit is an invalid ACL.
func (p *Providers) Fixup(
	acl []proto.ACL, ids []proto.ID, room *int,
) ([]proto.ACL, proto.Code) {
	if len(acl) == 0 {
		return nil, proto.ErrInvalidACL
	}
	if comparesNull(acl) {
		return nil, proto.ErrMarshalling
	}
	stored := make([]proto.ACL, 0, len(acl))
	for _, a := range withoutDuplicates(acl) {
		switch {
		case a.ID.Scheme == schemeWorld && a.ID.ID == anyone:
			stored = append(stored, a)
		case a.ID.Scheme == schemeAuth:
			before := len(stored)
			for _, id := range ids {
				if !p.authenticates(id.Scheme) {
					continue
				}
				const lengthsAndPerms = 12
				if *room -= lengthsAndPerms + len(id.Scheme) + len(id.ID); *room < 0 {
					return nil, proto.ErrInvalidACL
				}
				stored = append(stored, proto.ACL{Perms: a.Perms, ID: id})
			}
			if len(stored) == before {
				return nil, proto.ErrInvalidACL
			}
		case a.ID.ID == jute.Null && p.readsID(a.ID.Scheme):
			return nil, proto.ErrMarshalling
		case p.isValid(a.ID.Scheme, a.ID.ID):
			stored = append(stored, a)
		default:
			return nil, proto.ErrInvalidACL
		}
	}
	return stored, proto.OK
}

// readsID tells whether it takes the id to judge an entry of the scheme.
func (p *Providers) readsID(scheme string) bool {
	return scheme == schemeWorld || p.Knows(scheme) && scheme != SchemeEnsemble
}

// comparesNull tells whether one of the entries equals an earlier one up to a field of its own
// that is null: to find duplicates, that field would have to be compared.
func comparesNull(acl []proto.ACL) bool {
	if !slices.ContainsFunc(acl, func(a proto.ACL) bool {
		return a.ID.Scheme == jute.Null || a.ID.ID == jute.Null
	}) {
		return false
	}
	before := make(map[proto.ACL]struct{}, 2*len(acl)) // beginnings of entries, null behind them
	for _, a := range acl {
		perms := proto.ACL{Perms: a.Perms, ID: proto.ID{Scheme: jute.Null, ID: jute.Null}}
		scheme := proto.ACL{Perms: a.Perms, ID: proto.ID{Scheme: a.ID.Scheme, ID: jute.Null}}
		_, samePerms := before[perms]
		_, sameScheme := before[scheme]
		if a.ID.Scheme == jute.Null && samePerms || a.ID.ID == jute.Null && sameScheme {
			return true
		}
		before[perms], before[scheme] = struct{}{}, struct{}{}
	}
	return false
}

// withoutDuplicates keeps the first of equal entries, in order. A request can hold 80,000
// entries, so a long list is looked up by hash.
func withoutDuplicates(acl []proto.ACL) []proto.ACL {
	const scanMax = 16
	unique := make([]proto.ACL, 0, len(acl))
	if len(acl) <= scanMax {
		for _, a := range acl {
			if !slices.Contains(unique, a) {
				unique = append(unique, a)
			}
		}
		return unique
	}
	seen := make(map[proto.ACL]struct{}, len(acl))
	for _, a := range acl {
		if _, twice := seen[a]; !twice {
			seen[a] = struct{}{}
			unique = append(unique, a)
		}
	}
	return unique
}

// Authenticate answers an auth packet with the ids that the connection gains.
//
//	OK               the packet is accepted; there may be no ids (ensemble)
//	ErrAuthFailed    reply with it, then close the connection
//	ErrBadArguments  a client of another ensemble: close without a reply, so that the client
//	                 tries its next server and does not give up
func (p *Providers) Authenticate(
	scheme string, data []byte, remote netip.Addr,
) ([]proto.ID, proto.Code) {
	if !p.Knows(scheme) {
		return nil, proto.ErrAuthFailed
	}
	switch scheme {
	case schemeIP:
		return []proto.ID{RemoteID(remote)}, proto.OK
	case schemeDigest:
		return p.authenticateDigest(data)
	case SchemeEnsemble:
		names := p.cfg.EnsembleNames
		if len(data) > 0 && len(names) > 0 && !slices.Contains(names, string(data)) {
			return nil, proto.ErrBadArguments
		}
		return nil, proto.OK
	default: // sasl is negotiated by its own op
		return nil, proto.ErrAuthFailed
	}
}

func (p *Providers) authenticateDigest(data []byte) ([]proto.ID, proto.Code) {
	if data == nil {
		return nil, proto.ErrAuthFailed
	}
	id := proto.ID{Scheme: schemeDigest, ID: digestID(p.hash, data)}
	super := p.cfg.SuperDigest
	if super != "" && subtle.ConstantTimeCompare([]byte(id.ID), []byte(super)) == 1 {
		return []proto.ID{{Scheme: schemeSuper}, id}, proto.OK
	}
	return []proto.ID{id}, proto.OK
}

// WhoAmI lists the ids as whoAmI shows them: never a secret, and no user for a scheme that has
// no provider, which is how Java shows super (AuthUtil.getClientInfos).
func (p *Providers) WhoAmI(ids []proto.ID) []proto.ClientInfo {
	infos := make([]proto.ClientInfo, len(ids))
	for i, id := range ids {
		infos[i].Scheme = id.Scheme
		switch {
		case !p.Knows(id.Scheme):
		case id.Scheme == schemeDigest:
			infos[i].User, _, _ = strings.Cut(id.ID, ":")
		default:
			infos[i].User = id.ID
		}
	}
	return infos
}
