package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

// The epoch files of a snapshot directory. Each holds a decimal number as text
// (QuorumPeer.writeLongToFile).
const (
	AcceptedEpoch = "acceptedEpoch" // the highest epoch whose LEADERINFO was accepted
	CurrentEpoch  = "currentEpoch"  // the epoch of the last NEWLEADER that was acknowledged
	// CurrentEpochTemp is left when a server died while it wrote CurrentEpoch.
	CurrentEpochTemp = CurrentEpoch + temporarySuffix
)

// ReadEpoch reads an epoch file. A missing one matches fs.ErrNotExist.
func ReadEpoch(files FS, dir, name string) (epoch int64, err error) {
	path := filepath.Join(dir, name)
	f, err := files.OpenRead(path)
	if err != nil {
		return 0, fmt.Errorf("wal: read epoch: %w", err)
	}
	defer f.Close() // nothing was written
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 64))
	if err != nil {
		return 0, fmt.Errorf("wal: read epoch: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	epoch, err = strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil || epoch < 0 {
		return 0, &CorruptError{File: path, Reason: fmt.Sprintf("%q is no epoch", line),
			Advice: "write the epoch of the newest transaction (the upper half of its zxid) into it, " +
				"as a decimal number, or let this server sync afresh"}
	}
	return epoch, nil
}

// WriteEpoch replaces an epoch file: temporary file, sync, rename, sync of the directory. It
// counts when WriteEpoch returned.
func WriteEpoch(files FS, dir, name string, epoch int64) error {
	err := replaceText(files, filepath.Join(dir, name), strconv.FormatInt(epoch, 10))
	if err != nil {
		return fmt.Errorf("wal: write epoch: %w", err)
	}
	return nil
}

// replaceText makes a file hold a text, and nothing between that and what it held before.
func replaceText(files FS, path, text string) error {
	temp := path + temporarySuffix
	if err := files.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, err := writeSynced(files, temp, None, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	if err == nil {
		err = files.Rename(temp, path)
	}
	if err == nil {
		err = files.SyncDir(filepath.Dir(path))
	}
	return err
}
