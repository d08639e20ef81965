package image

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// maxUnfinished is how many uploads are remembered. Of more than that it is unknown
// which ones their servers still know.
const maxUnfinished = 1000

// Unfinished remembers, in a file, the uploads that were begun and not ended, so that
// the next run can go on with them. It holds no credential. A nil one forgets.
type Unfinished struct {
	File string
	// Tell hears that nothing can be noted: no reason to send nothing.
	Tell func(format string, args ...any)

	mu sync.Mutex
}

// get returns the path of an upload, "" for none.
func (k *Unfinished) get(key string) string {
	if k == nil {
		return ""
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.read()[key]
}

// read returns what is noted. A file that cannot be read is worth nothing: what it
// noted is sent again.
func (k *Unfinished) read() map[string]string {
	list := map[string]string{}
	text, err := os.ReadFile(k.File)
	if err != nil || json.Unmarshal(text, &list) != nil || list == nil {
		return map[string]string{}
	}
	return list
}

// set notes the path of an upload, "" for one that is over.
func (k *Unfinished) set(key, at string) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	list := k.read()
	if list[key] == at {
		return
	}
	if len(list) >= maxUnfinished {
		clear(list)
	}
	if list[key] = at; at == "" {
		delete(list, key)
	}
	if err := k.write(list); err != nil {
		k.Tell("which uploads are under way cannot be noted, and they would begin anew: %v", err)
	}
}

func (k *Unfinished) write(list map[string]string) error {
	if len(list) == 0 {
		if err := os.Remove(k.File); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(k.File), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(k.File), ".uploads-") // mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(text)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), k.File)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}
