// Reads pages with Prometheus's own parsers and tells what they found, for tests that compare.
//
// A request on stdin is a byte for the format (0 text, 1 OpenMetrics, 2 protobuf), a byte for
// options (1 native histograms, 2 the classic form of them too), four bytes of length (little
// endian), and the page. The answer on stdout is a line of JSON.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/prometheus/common/model"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

type foundExemplar struct {
	Labels [][2]string `json:"labels"`
	Value  string      `json:"value"`
	Time   *int64      `json:"time"`
}

type foundHistogram struct {
	Schema        int32       `json:"schema"`
	Count         string      `json:"count"`
	Sum           string      `json:"sum"`
	ZeroThreshold string      `json:"zero_threshold"`
	ZeroCount     string      `json:"zero_count"`
	Positive      [][2]string `json:"positive"`
	Negative      [][2]string `json:"negative"`
	Gauge         bool        `json:"gauge"`
}

type foundSeries struct {
	Labels    [][2]string     `json:"labels"`
	Value     string          `json:"value"`
	Histogram *foundHistogram `json:"histogram"`
	Time      *int64          `json:"time"`
	Exemplars []foundExemplar `json:"exemplars"`
	Created   int64           `json:"created"`
}

type found struct {
	Error    string        `json:"error"`
	Metadata [][3]string   `json:"metadata"`
	Series   []foundSeries `json:"series"`
}

var mediaTypes = []string{"text/plain", "application/openmetrics-text", "application/vnd.google.protobuf"}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	head := make([]byte, 6)
	for {
		if _, err := io.ReadFull(in, head); err != nil {
			return
		}
		page := make([]byte, binary.LittleEndian.Uint32(head[2:]))
		if _, err := io.ReadFull(in, page); err != nil {
			return
		}
		answer := read(page, mediaTypes[head[0]], head[1])
		line, err := json.Marshal(answer)
		if err != nil {
			panic(err)
		}
		out.Write(line)
		out.WriteByte('\n')
		if in.Buffered() == 0 {
			out.Flush()
		}
	}
}

func read(page []byte, mediaType string, options byte) (answer found) {
	defer func() {
		if problem := recover(); problem != nil {
			answer.Error = fmt.Sprint("panic: ", problem)
		}
	}()
	// As in a scrape: no byte is no page.
	if len(page) == 0 {
		return answer
	}
	parser, err := textparse.New(page, mediaType, nil, textparse.ParserOptions{
		IgnoreNativeHistograms:                  options&1 == 0,
		KeepClassicOnClassicAndNativeHistograms: options&2 != 0,
	})
	if err != nil {
		answer.Error = err.Error()
		return answer
	}
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return answer
		}
		if err != nil {
			answer.Error = err.Error()
			return answer
		}
		switch entry {
		case textparse.EntryType:
			name, kind := parser.Type()
			answer.Metadata = append(answer.Metadata, [3]string{"TYPE", string(name), string(kind)})
		case textparse.EntryHelp:
			name, text := parser.Help()
			answer.Metadata = append(answer.Metadata, [3]string{"HELP", string(name), string(text)})
		case textparse.EntryUnit:
			name, unit := parser.Unit()
			answer.Metadata = append(answer.Metadata, [3]string{"UNIT", string(name), string(unit)})
		case textparse.EntrySeries, textparse.EntryHistogram:
			series, err := readSeries(parser, entry, mediaType == mediaTypes[2])
			if err != nil {
				answer.Error = err.Error()
				return answer
			}
			answer.Series = append(answer.Series, series)
		}
	}
}

func readSeries(parser textparse.Parser, entry textparse.Entry, isProtobuf bool) (series foundSeries, err error) {
	var at *int64
	if entry == textparse.EntryHistogram {
		var whole *histogram.Histogram
		var float *histogram.FloatHistogram
		_, at, whole, float = parser.Histogram()
		if whole != nil {
			err = whole.Validate()
			if err == nil {
				float = whole.ToFloat(nil)
			}
		} else {
			err = float.Validate()
		}
		if err != nil {
			return series, err
		}
		series.Histogram = showHistogram(float)
	} else {
		var value float64
		_, at, value = parser.Series()
		series.Value = bits(value)
	}
	if at != nil {
		time := *at
		series.Time = &time
	}
	var lset labels.Labels
	parser.Labels(&lset)
	// What a scrape does with the labels when there are no labels of a target and no rules.
	lset = labels.NewBuilder(lset).Labels()
	if !lset.Has(model.MetricNameLabel) {
		return series, errors.New("metric name label missing")
	}
	if !lset.IsValid(model.UTF8Validation) {
		return series, errors.New("invalid metric name or label names")
	}
	if name, twice := lset.HasDuplicateLabelNames(); twice {
		return series, fmt.Errorf("label name %q is not unique", name)
	}
	series.Labels = pairs(lset)
	if isProtobuf {
		// Of OpenMetrics this would hide series.
		series.Created = parser.StartTimestamp()
	}
	var ex exemplar.Exemplar
	for parser.Exemplar(&ex) {
		shown := foundExemplar{Labels: pairs(ex.Labels), Value: bits(ex.Value)}
		if ex.HasTs {
			time := ex.Ts
			shown.Time = &time
		}
		if entry == textparse.EntrySeries || ex.HasTs {
			series.Exemplars = append(series.Exemplars, shown)
		}
		ex = exemplar.Exemplar{}
	}
	return series, nil
}

func showHistogram(h *histogram.FloatHistogram) *foundHistogram {
	shown := &foundHistogram{
		Schema:        h.Schema,
		Count:         bits(h.Count),
		Sum:           bits(h.Sum),
		ZeroThreshold: bits(h.ZeroThreshold),
		ZeroCount:     bits(h.ZeroCount),
		Gauge:         h.CounterResetHint == histogram.GaugeType,
	}
	for buckets := h.PositiveBucketIterator(); buckets.Next(); {
		if bucket := buckets.At(); bucket.Count != 0 {
			shown.Positive = append(shown.Positive, [2]string{fmt.Sprint(bucket.Index), bits(bucket.Count)})
		}
	}
	for buckets := h.NegativeBucketIterator(); buckets.Next(); {
		if bucket := buckets.At(); bucket.Count != 0 {
			shown.Negative = append(shown.Negative, [2]string{fmt.Sprint(bucket.Index), bits(bucket.Count)})
		}
	}
	return shown
}

func pairs(lset labels.Labels) [][2]string {
	all := [][2]string{}
	lset.Range(func(l labels.Label) {
		all = append(all, [2]string{l.Name, l.Value})
	})
	return all
}

// bits tells NaN from other NaN, and zero from minus zero.
func bits(value float64) string {
	return fmt.Sprintf("%016x", math.Float64bits(value))
}
