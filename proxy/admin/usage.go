package admin

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Usage is what the store holds, in bytes and blobs.
type Usage struct {
	CachedBytes, CachedBlobs int64
	HostedBytes, HostedBlobs int64
	Limit                    int64 // of CachedBytes
}

// scrapeLimit bounds how long a scrape waits for the usage.
const scrapeLimit = 2 * time.Second

// Store has the usage read at every scrape. It is called once, before the
// first scrape. While read fails the figures are absent.
func (m *Metrics) Store(read func(ctx context.Context) (Usage, error)) {
	m.registry.MustRegister(&usageCollector{
		read:    read,
		bytes:   prometheus.NewDesc("larder_store_bytes", "Bytes in the store.", []string{"kind"}, nil),
		objects: prometheus.NewDesc("larder_store_objects", "Blobs in the store.", []string{"kind"}, nil),
		limit:   prometheus.NewDesc("larder_store_limit_bytes", "Most bytes that cached blobs may take.", nil, nil),
	})
}

type usageCollector struct {
	read                  func(ctx context.Context) (Usage, error)
	bytes, objects, limit *prometheus.Desc
}

// Describe lists the figures.
func (u *usageCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- u.bytes
	ch <- u.objects
	ch <- u.limit
}

// Collect reads the figures.
func (u *usageCollector) Collect(ch chan<- prometheus.Metric) {
	// The interface of the library hands no context down.
	ctx, cancel := context.WithTimeout(context.Background(), scrapeLimit)
	defer cancel()
	now, err := u.read(ctx)
	if err != nil {
		return
	}
	gauge := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	gauge(u.bytes, now.CachedBytes, "cached")
	gauge(u.bytes, now.HostedBytes, "hosted")
	gauge(u.objects, now.CachedBlobs, "cached")
	gauge(u.objects, now.HostedBlobs, "hosted")
	gauge(u.limit, now.Limit)
}
