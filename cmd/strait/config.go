package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config is strait.yaml. Unknown keys are refused. Paths are relative to the
// folder of the file. In the url settings ${NAME} stands for an environment
// variable.
type Config struct {
	// Name of this installation's rows in `strait.progress`. Two installations that write to the same database need two names. Default: `default`.
	Pipeline string `yaml:"pipeline"`
	// Folder of the state: the reconciler's store, the embedded broker's log, the lock. One process at a time. Default: `./state`.
	State string `yaml:"state"`
	// Folder of the mapping files (`*.yaml`). Default: `./mapping`.
	Mapping string `yaml:"mapping"`
	// Address (host:port) of `/healthz`, `/readyz`, `/metrics` and `/status`; port 0 takes a free one. Default: `127.0.0.1:8765`.
	HTTP string `yaml:"http"`
	// What is logged and how.
	Log LogConfig `yaml:"log"`
	// The Kafka cluster, or the broker inside the process.
	Kafka KafkaConfig `yaml:"kafka"`
	// The schema registry, or the one inside the process.
	Registry RegistryConfig `yaml:"registry"`
	// The databases, by name. The name is the prefix of the system's topics and is used in the mapping files: lower-case letters, digits and underscores. At least two.
	Systems map[string]*SystemConfig `yaml:"systems"`

	// file is where the configuration was read from; folder is its folder.
	file, folder string
}

// LogConfig is what is logged and how.
type LogConfig struct {
	// Least level that is logged: `debug`, `info`, `warn` or `error`. Default: `info`.
	Level string `yaml:"level"`
	// `text` or `json`, one line each on standard error. Default: `text`.
	Format string `yaml:"format"`
}

// KafkaConfig is where the topics are.
type KafkaConfig struct {
	// Brokers (host:port) of a Kafka cluster, 2.5 or later. Without them the broker inside the process is used.
	Brokers []string `yaml:"brokers"`
	// The broker inside the process: for one machine and for development. Its log survives a crash of the process, not a loss of power.
	Embedded EmbeddedConfig `yaml:"embedded"`
	// Partitions of a new topic. An existing topic keeps its number. Default: `4`.
	Partitions int `yaml:"partitions"`
	// Copies of a new topic. Default: `0`, as the cluster has it set.
	Replication int `yaml:"replication"`
	// Compression of what is written: `none`, `gzip`, `snappy`, `lz4` or `zstd`. Default: `lz4`.
	Compression string `yaml:"compression"`
	// The largest record, as the brokers' `message.max.bytes` allows it, in bytes. Default: `8388608`.
	MaxMessage int `yaml:"max_message"`
	// How long one source transaction may take on its way into Kafka, at most the brokers' `transaction.max.timeout.ms`, as a duration. Default: `15m0s`.
	TxnTimeout Duration `yaml:"txn_timeout"`
	// How long a new topic keeps its records, as a duration like `168h`. The topics of commits are kept for ever. Default: as the broker has it set.
	Retention Duration `yaml:"retention"`
	// Encrypt the connections to the brokers. Default: `false`.
	TLS bool `yaml:"tls"`
	// PEM file with the certificates that the brokers' are checked against, with `tls`. Default: those of the machine.
	CAFile string `yaml:"ca_file"`
	// How to authenticate with the brokers; nothing is sent without a mechanism.
	SASL SASLConfig `yaml:"sasl"`
}

// SASLConfig is how to authenticate with Kafka.
type SASLConfig struct {
	// `plain`, `scram-sha-256` or `scram-sha-512`.
	Mechanism string `yaml:"mechanism"`
	// User name.
	User string `yaml:"user"`
	// Environment variable that holds the password.
	PasswordEnv string `yaml:"password_env"`
	// File that holds the password, in its first line.
	PasswordFile string `yaml:"password_file"`

	// password is found by checkKafka.
	password string
}

// EmbeddedConfig is the broker inside the process.
type EmbeddedConfig struct {
	// Address (host:port) it listens on, of this machine only; port 0 takes a free one. Default: `127.0.0.1:9092`.
	Addr string `yaml:"addr"`
	// Folder of its log. Default: `kafka` in the state folder.
	Dir string `yaml:"dir"`
}

// RegistryConfig is where the schemas are.
type RegistryConfig struct {
	// Address of a Confluent-compatible schema registry. Without it the registry inside the process is used; its schemas are in the topic `_schemas`.
	URL string `yaml:"url"`
	// Address (host:port) of the registry inside the process; port 0 takes a free one. Default: `127.0.0.1:8766`.
	Listen string `yaml:"listen"`
}

// SystemConfig is one database.
type SystemConfig struct {
	// Address: `postgres://user@host:port/database`, `mysql://…` or `mariadb://…`. Required.
	URL string `yaml:"url"`
	// Environment variable that holds the password.
	PasswordEnv string `yaml:"password_env"`
	// File that holds the password, in its first line.
	PasswordFile string `yaml:"password_file"`
	// Schema (PostgreSQL) or database (MySQL, MariaDB) of tables that a mapping file names without one. Default: `public`, or the database of the url.
	Schema string `yaml:"schema"`
	// PostgreSQL: name of the replication slot. Default: `strait_<pipeline>_<system>`.
	Slot string `yaml:"slot"`
	// PostgreSQL: name of the publication. Default: `strait_<pipeline>_<system>`.
	Publication string `yaml:"publication"`
	// How often the server is asked how much log it keeps for us, as a duration. Default: `10s`.
	StatusEvery Duration `yaml:"status_every"`

	// The rest is worked out by finish.
	name             string
	kind             string   // postgres, mysql or mariadb
	resolved         *url.URL // with the password
	passwordInConfig bool
	// again asks for a new snapshot when the capture loop starts next; it belongs to
	// that loop.
	again bool
}

// Duration is a time in YAML: 500ms, 10s, 2m.
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err == nil && v <= 0 {
		err = fmt.Errorf("%s is not longer than nothing", b)
	}
	*d = Duration(v)
	return err
}

// LoadConfig reads and checks a configuration file.
func LoadConfig(file string) (*Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w; give its place with --config", err)
	}
	c := &Config{file: file}
	doc, err := decodeStrict(file, text, c)
	if err != nil {
		return nil, err
	}
	if err := c.finish(doc); err != nil {
		return nil, err
	}
	return c, nil
}

// finish sets the defaults and checks what the syntax cannot.
func (c *Config) finish(doc *document) error {
	abs, err := filepath.Abs(c.file)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	c.folder = filepath.Dir(abs)
	c.defaults()
	checks := []func(*document) error{c.checkNames, c.checkLog, c.checkKafka, c.checkRegistry}
	for _, check := range checks {
		if err := check(doc); err != nil {
			return err
		}
	}
	for _, s := range c.systems() {
		if err := s.finish(c, doc); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) defaults() {
	c.Pipeline = cmp.Or(c.Pipeline, "default")
	c.State = c.path(cmp.Or(c.State, "state"))
	c.Mapping = c.path(cmp.Or(c.Mapping, "mapping"))
	c.HTTP = cmp.Or(c.HTTP, "127.0.0.1:8765")
	c.Log.Level, c.Log.Format = cmp.Or(c.Log.Level, "info"), cmp.Or(c.Log.Format, "text")
	for name, s := range c.Systems {
		if s == nil {
			s = &SystemConfig{}
			c.Systems[name] = s
		}
		s.name = name
	}
	c.Kafka.Embedded.Addr = cmp.Or(c.Kafka.Embedded.Addr, "127.0.0.1:9092")
	c.Kafka.Embedded.Dir = c.path(cmp.Or(c.Kafka.Embedded.Dir, filepath.Join(c.State, "kafka")))
	c.Kafka.Partitions = cmp.Or(c.Kafka.Partitions, 4)
	c.Kafka.MaxMessage = cmp.Or(c.Kafka.MaxMessage, 8<<20)
	c.Kafka.TxnTimeout = cmp.Or(c.Kafka.TxnTimeout, Duration(15*time.Minute))
	c.Kafka.Compression = cmp.Or(c.Kafka.Compression, "lz4")
	c.Registry.Listen = cmp.Or(c.Registry.Listen, "127.0.0.1:8766")
}

func (c *Config) path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(c.folder, p)
}

var (
	systemName   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,30}$`)
	pipelineName = regexp.MustCompile(`^[a-z0-9_-]{1,60}$`)
)

func (c *Config) checkNames(doc *document) error {
	if !pipelineName.MatchString(c.Pipeline) {
		return doc.errorf("$.pipeline", "pipeline %q: use lower-case letters, digits, _ and -, at most 60", c.Pipeline)
	}
	if len(c.Systems) < 2 {
		return doc.errorf("$.systems", "systems: two databases are needed, there are %d", len(c.Systems))
	}
	for _, s := range c.systems() {
		if !systemName.MatchString(s.name) {
			return doc.errorf("$.systems."+s.name, "system %q: use a lower-case letter, then lower-case letters, digits and _, at most 31", s.name)
		}
	}
	return nil
}

func (c *Config) checkLog(doc *document) error {
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		return doc.errorf("$.log.level", "log level %q: use debug, info, warn or error", c.Log.Level)
	}
	if !slices.Contains([]string{"text", "json"}, c.Log.Format) {
		return doc.errorf("$.log.format", "log format %q: use text or json", c.Log.Format)
	}
	return nil
}

func (c *Config) checkKafka(doc *document) error {
	if c.Kafka.Partitions < 1 {
		return doc.errorf("$.kafka.partitions", "partitions: %d is not a number of partitions", c.Kafka.Partitions)
	}
	if c.Kafka.Replication < 0 {
		return doc.errorf("$.kafka.replication", "replication: %d is not a number of copies", c.Kafka.Replication)
	}
	if len(c.Kafka.Brokers) > 0 && doc.has("$.kafka.embedded") {
		return doc.errorf("$.kafka.embedded", "kafka: give brokers or embedded, not both")
	}
	if all := []string{"none", "gzip", "snappy", "lz4", "zstd"}; !slices.Contains(all, c.Kafka.Compression) {
		return doc.errorf("$.kafka.compression", "compression %q: use one of %s", c.Kafka.Compression, strings.Join(all, ", "))
	}
	return c.checkSASL(doc)
}

func (c *Config) checkSASL(doc *document) error {
	s := &c.Kafka.SASL
	if s.Mechanism == "" {
		return nil
	}
	if all := []string{"plain", "scram-sha-256", "scram-sha-512"}; !slices.Contains(all, s.Mechanism) {
		return doc.errorf("$.kafka.sasl.mechanism", "sasl mechanism %q: use one of %s", s.Mechanism, strings.Join(all, ", "))
	}
	pw, given, key, err := c.readPassword(s.PasswordEnv, s.PasswordFile)
	if err == nil && !given {
		err = errors.New("no password; give password_env or password_file")
	}
	if err != nil {
		return doc.errorf("$.kafka.sasl."+key, "sasl: %v", err)
	}
	s.password = pw
	return nil
}

func (c *Config) checkRegistry(doc *document) (err error) {
	if c.Registry.URL != "" && doc.has("$.registry.listen") {
		return doc.errorf("$.registry.listen", "registry: give url or listen, not both")
	}
	if c.Registry.URL, err = expand(c.Registry.URL); err != nil {
		return doc.errorf("$.registry.url", "registry url: %v", err)
	}
	return nil
}

// systems are the databases in the order of their names.
func (c *Config) systems() []*SystemConfig {
	out := make([]*SystemConfig, 0, len(c.Systems))
	for _, s := range c.Systems {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *SystemConfig) int { return strings.Compare(a.name, b.name) })
	return out
}

// names are the names of the systems in order.
func (c *Config) names() []string {
	var out []string
	for _, s := range c.systems() {
		out = append(out, s.name)
	}
	return out
}

func (s *SystemConfig) finish(c *Config, doc *document) error {
	at := "$.systems." + s.name
	if s.URL == "" {
		return doc.errorf(at, "system %s: no url; give one like postgres://user@host:5432/database", s.name)
	}
	text, err := expand(s.URL)
	if err != nil {
		return doc.errorf(at+".url", "system %s: url: %v", s.name, err)
	}
	if err := s.parseURL(text); err != nil {
		return doc.errorf(at+".url", "system %s: %v", s.name, err)
	}
	if key, err := s.findPassword(c); err != nil {
		return doc.errorf(at+"."+key, "system %s: %v", s.name, err)
	}
	if s.kind == "postgres" {
		s.Schema = cmp.Or(s.Schema, "public")
		s.Slot = cmp.Or(s.Slot, serverName(c.Pipeline, s.name))
		s.Publication = cmp.Or(s.Publication, serverName(c.Pipeline, s.name))
	} else if s.Slot != "" || s.Publication != "" {
		key := "slot"
		if s.Slot == "" {
			key = "publication"
		}
		return doc.errorf(at+"."+key, "system %s: slot and publication are settings of PostgreSQL, this is %s", s.name, s.kind)
	}
	s.Schema = cmp.Or(s.Schema, strings.TrimPrefix(s.resolved.Path, "/"))
	s.StatusEvery = cmp.Or(s.StatusEvery, Duration(10*time.Second))
	return nil
}

// serverName is the default name of a slot or publication, in the characters
// that PostgreSQL allows and not longer than it keeps.
func serverName(pipeline, system string) string {
	name := strings.ReplaceAll("strait_"+pipeline+"_"+system, "-", "_")
	return name[:min(len(name), 63)]
}

// parseURL never puts the url into an error: it may hold a password.
func (s *SystemConfig) parseURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return fmt.Errorf("url: not a url; percent-encode special characters in user and password")
	}
	switch u.Scheme {
	case "postgres", "postgresql":
		s.kind = "postgres"
	case "mysql", "mariadb":
		s.kind = u.Scheme
	default:
		return fmt.Errorf("url: scheme %q is not known; use postgres, mysql or mariadb", u.Scheme)
	}
	if u.Hostname() == "" && u.Query().Get("host") == "" {
		return fmt.Errorf("url: no host; the form is %s://user@host:port/database", s.kind)
	}
	if strings.Trim(u.Path, "/") == "" {
		return fmt.Errorf("url: no database; the form is %s://user@host:port/database", s.kind)
	}
	s.resolved = u
	return nil
}

// findPassword puts the password into the url; on an error it names the setting.
func (s *SystemConfig) findPassword(c *Config) (key string, err error) {
	_, inURL := s.resolved.User.Password()
	s.passwordInConfig = inURL && !strings.Contains(s.URL, "${")
	pw, given, key, err := c.readPassword(s.PasswordEnv, s.PasswordFile)
	switch {
	case err != nil:
		return key, err
	case given && inURL:
		return key, errors.New("the url holds a password already")
	case given:
		s.resolved.User = url.UserPassword(s.resolved.User.Username(), pw)
	}
	return "", nil
}

// readPassword reads one of the two settings that can name a password. key is
// the setting to blame.
func (c *Config) readPassword(env, file string) (password string, given bool, key string, err error) {
	switch {
	case env != "" && file != "":
		return "", true, "password_file", errors.New("give password_env or password_file, not both")
	case env != "":
		pw, ok := os.LookupEnv(env)
		if !ok {
			return "", true, "password_env", fmt.Errorf("the environment has no %s", env)
		}
		return pw, true, "password_env", nil
	case file != "":
		b, err := os.ReadFile(c.path(file))
		if err != nil {
			return "", true, "password_file", err
		}
		line, _, _ := strings.Cut(string(b), "\n")
		return strings.TrimSuffix(line, "\r"), true, "password_file", nil
	}
	return "", false, "password_env", nil
}

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// expand replaces ${NAME} by the environment's value.
func expand(s string) (string, error) {
	var missing []string
	out := variable.ReplaceAllStringFunc(s, func(ref string) string {
		name := ref[2 : len(ref)-1]
		v, ok := os.LookupEnv(name)
		if !ok {
			missing = append(missing, name)
		}
		return v
	})
	if len(missing) > 0 {
		return "", fmt.Errorf("the environment has no %s", strings.Join(missing, ", "))
	}
	return out, nil
}
