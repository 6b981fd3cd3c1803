package wal

import (
	"errors"
	"fmt"
)

// ErrCorrupt matches every error about bytes on disk that no cut-off write explains.
var ErrCorrupt = errors.New("wal: corrupt file")

// A CorruptError says which bytes are bad and what an operator can do.
type CorruptError struct {
	File   string
	Offset int64
	Reason string
	Advice string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("wal: %s is corrupt at offset %d: %s; %s", e.File, e.Offset, e.Reason, e.Advice)
}

// Is makes errors.Is(err, ErrCorrupt) hold.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

func corruptLog(file string, offset int64, reason string) error {
	return &CorruptError{File: file, Offset: offset, Reason: reason, Advice: fmt.Sprintf(
		"nothing was changed: restore the file from a copy; or, giving up every transaction from "+
			"here on, run: truncate -s %d %s, and move later log files away",
		offset, file)}
}

func corruptHeader(file string) error {
	return &CorruptError{File: file, Reason: "there is no header of a log file", Advice: fmt.Sprintf(
		"nothing was changed: if the rest of the file is well, put its first %d bytes back, which are "+
			"the same in all log files; else restore it from a copy", fileHeaderBytes)}
}

func corruptSnapshot(file string, offset int64, reason string) error {
	return &CorruptError{File: file, Offset: offset, Reason: reason,
		Advice: "move the file away: an older snapshot and the log are used instead"}
}
