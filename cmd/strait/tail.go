package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/strait-cdc/strait/internal/stream"
	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/schemas/avro"
)

func tailCommand(load loader) *cobra.Command {
	var from string
	var limit int
	cmd := &cobra.Command{
		Use:   "tail TOPIC",
		Short: "Show the records of a topic, decoded, as they arrive: one line of JSON each",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := load()
			if err != nil {
				return err
			}
			start, err := parseFrom(from)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return cfg.tail(ctx, cmd.OutOrStdout(), args[0], start, limit)
		},
	}
	cmd.Flags().StringVar(&from, "from", "latest", "where to begin: earliest, latest or an offset")
	cmd.Flags().IntVarP(&limit, "count", "n", 0, "end after so many records; 0: never")
	return cmd
}

func parseFrom(s string) (stream.From, error) {
	switch s {
	case "earliest":
		return stream.Earliest, nil
	case "latest":
		return stream.Latest, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("--from %s: use earliest, latest or an offset", s)
	}
	return stream.From(n), nil
}

// errEnough ends tail after the records that were asked for.
var errEnough = errors.New("enough")

func (c *Config) tail(ctx context.Context, out io.Writer, topic string, from stream.From, limit int) error {
	cl, err := c.join()
	if err != nil {
		return err
	}
	reg, err := cl.reader(ctx)
	if err != nil {
		return err
	}
	defer reg.Close()
	p := printer{out: out, dec: avro.NewDecoder(reg), limit: limit}
	err = stream.Tail(ctx, cl.stream, topic, from, p.print)
	if errors.Is(err, errEnough) || ctx.Err() != nil || errors.Is(err, os.ErrClosed) || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// printer writes records as lines of JSON.
type printer struct {
	out   io.Writer
	dec   *avro.Decoder
	limit int
	n     int
}

func (p *printer) print(partition int, offset int64, r *schemas.Record) error {
	line, err := p.line(partition, offset, r)
	if err != nil {
		return fmt.Errorf("%s partition %d offset %d: %w", r.Topic, partition, offset, err)
	}
	if _, err := p.out.Write(append(line, '\n')); err != nil {
		return err
	}
	if p.n++; p.limit > 0 && p.n >= p.limit {
		return errEnough
	}
	return nil
}

// line puts the place in front of the decoded record.
func (p *printer) line(partition int, offset int64, r *schemas.Record) ([]byte, error) {
	if framed(r.Value) || r.Value == nil && framed(r.Key) {
		b, err := p.dec.JSON(r)
		if err != nil {
			return nil, err
		}
		return append(fmt.Appendf(nil, `{"partition":%d,"offset":%d,`, partition, offset), b[1:]...), nil
	}
	return json.Marshal(plainLine{partition, offset, r.Topic, textOrJSON(r.Key), textOrJSON(r.Value)})
}

// framed says that bytes begin as Confluent's framing of Avro does.
func framed(b []byte) bool { return len(b) >= 5 && b[0] == 0 }

// plainLine is a record that is not Avro: commits and schemas are JSON.
type plainLine struct {
	Partition int             `json:"partition"`
	Offset    int64           `json:"offset"`
	Topic     string          `json:"topic"`
	Key       json.RawMessage `json:"key"`
	Value     json.RawMessage `json:"value"`
}

func textOrJSON(b []byte) json.RawMessage {
	if b == nil {
		return json.RawMessage("null")
	}
	if json.Valid(b) {
		return json.RawMessage(b)
	}
	quoted, _ := json.Marshal(string(b)) // a string always encodes
	return quoted
}
