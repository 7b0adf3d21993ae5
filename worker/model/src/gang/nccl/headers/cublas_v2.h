// What PyTorch's headers name of cuBLAS: see cusparse.h.

#pragma once

typedef struct cublasContext* cublasHandle_t;
typedef enum { CUBLAS_STATUS_SUCCESS = 0 } cublasStatus_t;
