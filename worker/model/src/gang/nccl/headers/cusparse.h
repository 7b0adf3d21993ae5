// What PyTorch's headers name of cuSPARSE: its own come with a library of 160 MB, and the plugin calls nothing of it.

#pragma once

typedef struct cusparseContext* cusparseHandle_t;
typedef enum { CUSPARSE_STATUS_SUCCESS = 0 } cusparseStatus_t;
