package wal

import (
	"fmt"
	"hash/adler32"
	"math"
)

// What stands behind the last whole record of a file, at offset b, is one of three things.
//
//	clean    nothing, or zeros to the end of the file
//	torn     what a write left behind that never finished: nobody was told of these records
//	corrupt  anything else: acknowledged records may be in it, so nothing may be dropped
//
// The simple rule is that a bad last record is torn and a bad record with good ones behind it
// is corrupt. It is wrong twice: a flipped bit in the last record hits an acknowledged one,
// and a disk may write the sectors of a batch in any order, so that a power cut leaves good
// records behind a hole. Ours asks what an unfinished write can look like. Before it, the
// disk held zeros from b on; a killed process leaves a prefix of the bytes; a power cut
// leaves any sectors of the bytes and zeros (or the end of the file) for the others. Hence:
//
//  1. The data stops before the record's end mark, or the file does: torn, a prefix.
//  2. A whole sector of zeros lies in the bad stretch: torn, a missing sector; but if good
//     records follow, only when all of it fits into one step, for an older step was synced.
//  3. Else no write explains it: corrupt. So is a record that lacks nothing but the right
//     length, or the right end mark.
//
// Errors on the side of corrupt cost a start; errors on the side of torn, data. What remains
// undetected: damage that turns a whole sector of the last stepBytesMax bytes into zeros, or
// that hits a record which itself holds such a sector.
type tailKind uint8

const (
	tailClean tailKind = iota
	tailTorn
	tailCorrupt
)

type tail struct {
	kind   tailKind
	reason string
	bytes  int64 // from b to the last byte that is not zero
}

const (
	sectorBytes = 512

	// searchBytesMax bounds the checksums computed in search of records behind a bad one.
	searchBytesMax = 1 << 30
)

// A tailReader judges one file.
type tailReader struct {
	*logReader
	probe logReader // a second buffer over the same file
	b     int64     // behind the last whole record
	end   int64     // behind the last byte that is not zero
}

// judge says what stands in the open file from b on.
func (r *logReader) judge(b int64) (tail, error) {
	t := tailReader{logReader: r, b: b}
	t.probe = logReader{f: r.f, path: r.path, size: r.size}
	var err error
	if t.end, err = t.dataEnd(); err != nil || t.end <= b {
		return tail{}, err
	}
	kind, reason, err := t.classify()
	return tail{kind, reason, t.end - b}, err
}

func (t *tailReader) classify() (tailKind, string, error) {
	next, err := t.findRecord()
	if err != nil {
		return 0, "", err
	}
	if next < 0 {
		return t.classifyLast()
	}
	missing, err := t.missingSector(next)
	if err != nil {
		return 0, "", err
	}
	if missing && t.end-t.b <= t.unsyncedMax {
		return tailTorn, "a sector of the last batch was never written", nil
	}
	return tailCorrupt, fmt.Sprintf("the record there is bad, but a good one stands at offset %d",
		next), nil
}

// classifyLast judges a bad record that no good one follows.
func (t *tailReader) classifyLast() (tailKind, string, error) {
	fr, err := t.frame(t.b)
	if err != nil {
		return 0, "", err
	}
	inFile := fr.txn >= txnBytesMin && t.b+fr.bytes() <= t.size
	sumRight, err := t.sumMatches(fr, fr.txn)
	if err != nil {
		return 0, "", err
	}
	otherLength, err := t.sumMatches(fr, t.end-t.b-recordFrameBytes)
	if err != nil {
		return 0, "", err
	}
	missing, err := t.missingSector(t.end)
	switch {
	case err != nil:
		return 0, "", err
	case inFile && sumRight && !missing && t.end > t.b+recordHeadBytes+fr.txn:
		return tailCorrupt, "the record there is whole but for its end mark", nil
	case otherLength && !fr.whole:
		return tailCorrupt, "the record there is whole but for its length", nil
	case fr.txn >= txnBytesMin && t.end < t.b+fr.bytes(), t.end <= t.b+recordHeadBytes:
		return tailTorn, "the last record was cut short", nil
	case missing:
		return tailTorn, "a sector of the last record was never written", nil
	case fr.whole:
		return tailCorrupt, "the checksum of the record there does not match", nil
	}
	return tailCorrupt, "there is something that is neither a record nor a part of one", nil
}

// sumMatches tells whether the record's checksum is that of a txn with n bytes.
func (t *tailReader) sumMatches(fr frame, n int64) (bool, error) {
	if n < txnBytesMin || n > math.MaxInt32 || t.b+recordHeadBytes+n > t.size {
		return false, nil
	}
	txn, err := t.bytes(t.b+recordHeadBytes, int(n))
	return err == nil && uint64(adler32.Checksum(txn)) == fr.sum, err
}

// dataEnd finds the last byte from b on that is not zero; it returns the offset behind it.
func (t *tailReader) dataEnd() (int64, error) {
	const chunkBytes = 64 << 10
	buf := make([]byte, min(chunkBytes, max(0, t.size-t.b)))
	end := t.size
	for end > t.b {
		start := max(t.b, end-chunkBytes)
		chunk := buf[:end-start]
		if n, err := t.f.ReadAt(chunk, start); n < len(chunk) {
			return 0, fmt.Errorf("wal: read %s at offset %d: %w", t.path, start, err)
		}
		for i := len(chunk) - 1; i >= 0; i-- {
			if chunk[i] != 0 {
				return start + int64(i) + 1, nil
			}
		}
		end = start
	}
	return end, nil
}

// findRecord looks for a good record behind b, at every offset; it returns -1 if there is
// none. When the search takes too long it says that it found one, which is the safe answer.
func (t *tailReader) findRecord() (int64, error) {
	budget := int64(searchBytesMax)
	for off := t.b + 1; off+recordBytesMin <= t.end; off++ {
		fr, err := t.frame(off)
		if err != nil {
			return 0, err
		}
		if !fr.whole {
			continue
		}
		txn, err := t.probe.record(off)
		if err != nil {
			return 0, err
		}
		if budget -= fr.txn; txn != nil || budget < 0 {
			return off, nil
		}
	}
	return -1, nil
}

// missingSector tells whether a sector that the bad stretch [b, to) touches holds only zeros.
// Of the first sector only what lies behind b counts; its first four bytes, the upper half of
// a checksum, are zeros in good records too.
func (t *tailReader) missingSector(to int64) (bool, error) {
	for start := t.b; start < to; {
		end := min(start-start%sectorBytes+sectorBytes, t.size)
		if end-start > 4 {
			s, err := t.bytes(start, int(end-start))
			if err != nil {
				return false, err
			}
			if allZero(s) {
				return true, nil
			}
		}
		start = end
	}
	return false, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
