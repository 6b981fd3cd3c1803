package tree

// Options are the settings that change what a stored znode means. The zero value is
// ZooKeeper's default.
type Options struct {
	ExtendedTypes  bool // zookeeper.extendedTypesEnabled: owners 0xFF… are TTL znodes
	Emulate353TTL  bool // zookeeper.emulate353TTLNodes: negative owners are TTL znodes
	NoDigest       bool // zookeeper.digest.enabled=false
	StringBytesMax int  // longest path or data a snapshot may hold; 0 means jute.BytesMax
}

// A Kind says who removes a znode.
type Kind uint8

// The kinds of znode, as its stored ephemeralOwner tells them apart (EphemeralType).
const (
	Persistent Kind = iota
	Ephemeral       // removed with its session
	Container       // removed some time after its last child
	TTL             // removed when it had no child and no change for some time
	unknownKind
)

func (k Kind) String() string {
	return [...]string{"persistent", "ephemeral", "container", "ttl", "unknown"}[k]
}

// Stored ephemeralOwner values that are no session (EphemeralType).
const (
	ContainerOwner int64 = -1 << 63

	extendedMask int64 = -1 << 56     // top byte 0xFF: an extended type
	featureMask  int64 = 0xffff << 40 // which one; 0 is TTL
	ttlMask      int64 = 0xffffffffff // its value
	TTLMax             = ttlMask      // the longest TTL, in ms
)

// TTLOwner is the stored owner of a TTL znode; false when ms is out of range.
func TTLOwner(ms int64) (int64, bool) {
	if ms <= 0 || ms > TTLMax {
		return 0, false
	}
	return extendedMask | ms, true
}

// Kind classifies a stored ephemeralOwner (EphemeralType.get).
func (o Options) Kind(owner int64) Kind {
	switch {
	case owner == 0:
		return Persistent
	case owner == ContainerOwner:
		return Container
	case !o.ExtendedTypes || owner > 0:
		return Ephemeral
	case o.Emulate353TTL:
		return TTL
	case owner&extendedMask != extendedMask:
		return Ephemeral
	case owner&featureMask == 0:
		return TTL
	default:
		return unknownKind
	}
}
