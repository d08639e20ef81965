package main

// heapFloor is never touched, so that it takes address space and no memory. The
// collector runs when the heap has doubled; with a heap as small as ours it
// would run dozens of times a second under load, a tenth of all the work.
const heapFloor = 40 << 20 // bytes

// quieten returns what must be kept alive for as long as the collector shall
// run less often.
func quieten() []byte { return make([]byte, heapFloor) }
