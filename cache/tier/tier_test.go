package tier

import (
	"fmt"
	"sync"
	"testing"
)

func TestBoundInBytes(t *testing.T) {
	c := New(64<<10, 1)
	for i := range 100 {
		c.Add(fmt.Sprint("k", i), make([]byte, 4<<10))
	}
	if n := c.Size(); n > 64<<10 {
		t.Fatalf("%d bytes kept, the bound is %d", n, 64<<10)
	}
	if _, ok := c.Get("k99"); !ok {
		t.Error("the newest entry is gone")
	}
	if _, ok := c.Get("k0"); ok {
		t.Error("the oldest entry is still there")
	}
}

func TestUseKeepsAnEntry(t *testing.T) {
	c := New(64<<10, 1)
	c.Add("hot", make([]byte, 1<<10))
	for i := range 100 {
		c.Get("hot")
		c.Add(fmt.Sprint(i), make([]byte, 4<<10))
	}
	if _, ok := c.Get("hot"); !ok {
		t.Error("an entry in use was dropped before idle ones")
	}
}

func TestTooLargeIsNotKept(t *testing.T) {
	c := New(64<<10, 1)
	c.Add("small", []byte("x"))
	c.Add("large", make([]byte, 32<<10))
	if _, ok := c.Get("large"); ok {
		t.Error("an entry of half the tier was kept")
	}
	if _, ok := c.Get("small"); !ok {
		t.Error("it pushed out another one")
	}
}

func TestReplaceCountsOnce(t *testing.T) {
	c := New(64<<10, 1)
	for range 10 {
		c.Add("k", make([]byte, 1<<10))
	}
	if n := c.Size(); n != cost("k", make([]byte, 1<<10)) {
		t.Errorf("%d bytes counted for one entry", n)
	}
	c.Remove("k")
	if n := c.Size(); n != 0 {
		t.Errorf("%d bytes counted for none", n)
	}
}

func TestManyAtOnce(t *testing.T) {
	c := New(256<<10, 8)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				key := fmt.Sprint(g, i%50)
				c.Add(key, make([]byte, i%2048))
				c.Get(key)
				if i%7 == 0 {
					c.Remove(key)
				}
			}
		})
	}
	wg.Wait()
	if n := c.Size(); n > 256<<10 || n < 0 {
		t.Errorf("%d bytes counted", n)
	}
}
