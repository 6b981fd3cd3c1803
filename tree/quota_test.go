package tree

import (
	"strings"
	"testing"
)

// A text that no quota has is not read: any client can write one, and it would be read again for
// every change below.
func TestLongQuotaTextSetsNothing(t *testing.T) {
	if got := parseTrack([]byte("count=5,bytes=7")).get("bytes"); got != 7 {
		t.Errorf("bytes=%d", got)
	}
	long := "count=5," + strings.Repeat("k=1,", trackBytesMax/4)
	if got := parseTrack([]byte(long)).get("count"); got != -1 {
		t.Errorf("count=%d of %d bytes", got, len(long))
	}
}
