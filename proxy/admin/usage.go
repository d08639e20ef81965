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
	gauge(ch, u.bytes, now.CachedBytes, "cached")
	gauge(ch, u.bytes, now.HostedBytes, "hosted")
	gauge(ch, u.objects, now.CachedBlobs, "cached")
	gauge(ch, u.objects, now.HostedBlobs, "hosted")
	gauge(ch, u.limit, now.Limit)
}

// Uploads has the upload sessions and the bytes that they hold read at every
// scrape. It is called once, before the first scrape. While read fails the
// figures are absent.
func (m *Metrics) Uploads(read func(ctx context.Context) (sessions int, bytes int64, err error)) {
	m.registry.MustRegister(&uploadCollector{
		read:     read,
		sessions: prometheus.NewDesc("larder_upload_sessions", "Uploads that were begun and are not over.", nil, nil),
		bytes:    prometheus.NewDesc("larder_upload_session_bytes", "Bytes that uploads hold which are not over.", nil, nil),
	})
}

type uploadCollector struct {
	read            func(ctx context.Context) (sessions int, bytes int64, err error)
	sessions, bytes *prometheus.Desc
}

// Describe lists the figures.
func (u *uploadCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- u.sessions
	ch <- u.bytes
}

// Collect reads the figures.
func (u *uploadCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeLimit)
	defer cancel()
	sessions, bytes, err := u.read(ctx)
	if err != nil {
		return
	}
	gauge(ch, u.sessions, int64(sessions))
	gauge(ch, u.bytes, bytes)
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, v int64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
}
