package wal

import (
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"math"

	"github.com/meerkat-zk/meerkat/proto"
)

// A log file is a header, records back to back, and zeros to its end:
//
//	┌────────────┬─────────────┬──────────┐
//	│ "ZKLG"     │ version 2   │ dbid 0   │   16 bytes
//	│ 4          │ 4           │ 8        │
//	├────────────┼─────────────┼──────────┴──────────┬─────┐
//	│ checksum   │ length n    │ txn                 │ 'B' │   13 + n bytes
//	│ 8          │ 4           │ n                   │ 1   │
//	├────────────┴─────────────┴─────────────────────┴─────┤
//	│ more records                                         │
//	├──────────────────────────────────────────────────────┤
//	│ 0 0 0 ...                                            │
//	└──────────────────────────────────────────────────────┘
//
// The checksum is the Adler-32 of the txn, zero-extended. A txn starts with its TxnHeader of
// 32 bytes, in which the zxid stands at offset 12. Source: FileTxnLog, Util.writeTxnBytes.
const (
	fileHeader      = "ZKLG\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00"
	fileMagic       = "ZKLG"
	fileHeaderBytes = int64(len(fileHeader))

	recordHeadBytes  = 12
	recordTrailBytes = 1
	recordFrameBytes = recordHeadBytes + recordTrailBytes
	recordEnd        = 'B'

	txnBytesMin    = 32 // a TxnHeader
	txnZxidAt      = 12
	recordBytesMin = recordFrameBytes + txnBytesMin // the least a record takes
)

// BeginRecord appends room for a record's checksum and length; the caller then appends the
// txn and calls EndRecord with the mark.
func BeginRecord(buf []byte) ([]byte, int) {
	return append(buf, make([]byte, recordHeadBytes)...), len(buf)
}

// EndRecord completes the record that starts at mark: everything behind the head is its txn.
func EndRecord(buf []byte, mark int) []byte {
	txn := buf[mark+recordHeadBytes:]
	if len(txn) > math.MaxInt32 {
		panic(fmt.Sprintf("wal: a txn of %d bytes could not be read again", len(txn)))
	}
	if len(txn) < txnBytesMin {
		panic(fmt.Sprintf("wal: a txn of %d bytes has no header", len(txn)))
	}
	binary.BigEndian.PutUint64(buf[mark:], uint64(adler32.Checksum(txn)))
	binary.BigEndian.PutUint32(buf[mark+8:], uint32(len(txn)))
	return append(buf, recordEnd)
}

// AppendRecord appends a record with this txn.
func AppendRecord(buf, txn []byte) []byte {
	buf, mark := BeginRecord(buf)
	return EndRecord(append(buf, txn...), mark)
}

// Records calls visit with the txn of each record in a buffer that BeginRecord and EndRecord
// filled, until visit returns false. Each txn aliases buf.
func Records(buf []byte, visit func(txn []byte) bool) {
	for len(buf) > 0 {
		n := recordLen(buf)
		if !visit(buf[recordHeadBytes : n-recordTrailBytes : n-recordTrailBytes]) {
			return
		}
		buf = buf[n:]
	}
}

// TxnZxid is the zxid of a serialized transaction.
func TxnZxid(txn []byte) proto.Zxid {
	return proto.Zxid(binary.BigEndian.Uint64(txn[txnZxidAt:]))
}

// recordLen is the size of the first record of a buffer that holds whole records.
func recordLen(buf []byte) int {
	n := int(binary.BigEndian.Uint32(buf[8:])) + recordFrameBytes
	if n < recordBytesMin || n > len(buf) || buf[n-1] != recordEnd {
		panic(fmt.Sprintf("wal: a record of %d bytes in a buffer of %d", n, len(buf)))
	}
	return n
}

// cutRecords splits a buffer of records so that the head has at most bytesMax bytes.
func cutRecords(buf []byte, bytesMax int) (head, rest []byte) {
	if len(buf) <= bytesMax {
		return buf, nil
	}
	at := 0
	for {
		n := recordLen(buf[at:])
		if at+n > bytesMax {
			return buf[:at], buf[at:]
		}
		at += n
	}
}

// mustReadBack reads an item's records from a file, as a start would.
func mustReadBack(it *Item) {
	const path = "/log.0"
	files := NewMemFS()
	f, err := files.Create(path)
	if err == nil {
		_, err = f.WriteAt(append([]byte(fileHeader), it.Records...), 0)
	}
	if err != nil {
		panic(err)
	}
	r := newLogReader(&Options{FS: files})
	defer r.close()
	if err := r.open(path); err != nil {
		panic(err)
	}
	s, err := r.scan(nil)
	if err != nil || s.end != r.size || s.first != it.First || s.last != it.Last {
		panic(fmt.Sprintf("wal: of records %v..%v, %d bytes, those to %v can be read again, %d: %v",
			it.First, it.Last, len(it.Records), s.last, s.end-fileHeaderBytes, err))
	}
}
