-- crm
CREATE TABLE accounts (
  id char(36) NOT NULL PRIMARY KEY,
  name varchar(160) NOT NULL,
  vat_id varchar(20) NULL,
  email varchar(254) NULL,
  terms varchar(10) NULL,
  amount decimal(14,4) NULL,
  note text NULL,
  data json NULL,
  created_at timestamp(3) NULL,
  span interval NULL,
  deleted tinyint(1) NOT NULL DEFAULT 0
)
-- ;;
CREATE TABLE account_tags (
  id char(36) NOT NULL PRIMARY KEY,
  account_id char(36) NOT NULL,
  tag varchar(20) NOT NULL
)
-- ;;
-- erp
CREATE TABLE debtor (
  id bigint NOT NULL AUTO_INCREMENT,
  no varchar(12) NULL,
  name1 varchar(40) NOT NULL,
  name2 varchar(40) NULL,
  pay_terms int NOT NULL,
  amount decimal(12,2) NULL,
  opened timestamp(0) NULL,
  inactive int NOT NULL DEFAULT 0,
  shout varchar(40) NULL GENERATED ALWAYS AS (upper(name1)),
  PRIMARY KEY (id)
)
-- ;;
CREATE TABLE debtor_tag (
  id bigint NOT NULL AUTO_INCREMENT,
  debtor_id bigint NOT NULL,
  tag varchar(20) NOT NULL,
  PRIMARY KEY (id)
)
-- ;;
CREATE TABLE item (
  item_no varchar(20) NOT NULL,
  descr varchar(80) NOT NULL,
  PRIMARY KEY (item_no)
)
-- ;;
CREATE TABLE log (
  line text NULL
)
